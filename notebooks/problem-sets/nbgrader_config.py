"""nbgrader's settings for the problem sets: copy this file into your course's folder."""

from pathlib import Path

from rnncourse.grading.course import configure

c = get_config()  # noqa: F821 (nbgrader defines it)
configure(c, Path.cwd())

c.CourseDirectory.course_id = "rnn"  # the name of your course
c.Exchange.root = "/srv/nbgrader/exchange"  # a folder that every account can write to
