"""Titles of meetings, similar to those that users of RealtimeKit choose."""

import random


_CLINICS = ("Cardiology", "Dermatology", "Neurology", "Oncology", "Paediatrics", "Physiotherapy")
_VISITS = ("follow-up", "first visit", "second opinion", "case review", "group session")
_COURSES = ("Algebra II", "Organic chemistry", "Spanish B1", "World history", "Statistics", "Logic")
_TEAMS = ("Platform", "Billing", "Support", "Legal", "Design", "Field sales")
_ROUNDS = ("weekly review", "planning", "retrospective", "incident review", "hiring panel")


def draw_title(rng: random.Random) -> str:
    """Draw a readable title, for example "Algebra II, group 4"."""
    kind = rng.randrange(4)
    if kind == 0:
        return f"{rng.choice(_CLINICS)} {rng.choice(_VISITS)}"
    if kind == 1:
        return f"{rng.choice(_COURSES)}, group {rng.randint(1, 9)}"
    if kind == 2:  # noqa: PLR2004 - the four kinds have no names
        return f"Exam {rng.randint(1000, 9999)} (proctored)"
    return f"{rng.choice(_TEAMS)} {rng.choice(_ROUNDS)}"
