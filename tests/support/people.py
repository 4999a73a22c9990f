"""Who asks, in tests that are about something else."""

from callsheet.messages.access import Access, Role

ADMIN = Access(role=Role.ADMIN)
OPERATOR = Access(role=Role.OPERATOR)
VIEWER = Access(role=Role.VIEWER)
