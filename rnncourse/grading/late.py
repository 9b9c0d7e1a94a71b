"""What coming late costs."""

import math

from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float


class PerDay(LateSubmissionPlugin):
    """A share of the points for each day that has begun, up to a limit.

    In the course's ``nbgrader_config.py``::

        c.AssignLatePenalties.plugin_class = "rnncourse.grading.late.PerDay"
        c.PerDay.share = 0.2
    """

    share = Float(0.1, help="share of the points for each day").tag(config=True)
    most = Float(1.0, help="largest share").tag(config=True)

    def late_submission_penalty(
        self, student_id: str, score: float, total_seconds_late: float
    ) -> float:
        """Return the points that a late submission loses."""
        days = math.ceil(total_seconds_late / 86_400)
        return score * min(self.most, self.share * days)
