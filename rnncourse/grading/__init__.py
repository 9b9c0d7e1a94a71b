"""Checks for the problem sets: what the visible and the hidden tests call.

The grader itself is in the modules beside this one; they need nbgrader, this one needs NumPy.
"""

from .expectations import expect_close, expect_equal, expect_shape, student, variant

__all__ = ["expect_close", "expect_equal", "expect_shape", "student", "variant"]
