"""When a schedule is due: its cron line in its time zone."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule
from prefect.server.schemas import schedules
from pydantic import TypeAdapter, ValidationError

from modelyard.errors import ConfigError

PLANNED: TypeAdapter[Any] = TypeAdapter(schedules.SCHEDULE_TYPES)


def parse_cron(cron: str, timezone: str) -> CronSchedule:
    """Raises: ConfigError naming what is wrong with either."""
    wrong = (
        f"wrong cron line {cron!r}: expected minute hour day month weekday, as in '0 2 * * *' "
        "for two at night"
    )
    try:
        schedule = CronSchedule(cron=cron, timezone=timezone or "none")
    except ValidationError as error:
        if any(part["loc"] == ("timezone",) for part in error.errors()):
            raise ConfigError(
                f"unknown time zone {timezone!r}: expected an IANA name such as Europe/Berlin or UTC"
            ) from None
        raise ConfigError(wrong) from None
    if len(cron.split()) != 5 and not cron.startswith("@"):  # of six Prefect takes the last for seconds
        raise ConfigError(wrong)
    if not next_dates(schedule):  # of a zone that this machine alone knows, too
        expected = "expected a day that its months have, as in '0 2 28 2 *', and an IANA name"
        raise ConfigError(f"the cron line {cron!r} is never due in the time zone {timezone}: {expected}")
    return schedule


def zone_of(schedule: SCHEDULE_TYPES | None) -> ZoneInfo:
    """Its own time zone; UTC where it has none."""
    return ZoneInfo(getattr(schedule, "timezone", None) or "UTC")


def next_dates(schedule: SCHEDULE_TYPES) -> list[datetime] | None:
    """The next one, in its own zone, as Prefect's scheduler reckons it; empty when none is left.

    None where that fails, as for a cron line that is never due: the scheduler then plans nothing of the whole
    deployment.
    """
    try:
        dates = asyncio.run(PLANNED.validate_python(schedule.model_dump()).get_dates(1))
    except (ValueError, LookupError, ArithmeticError):  # no such day; no such zone; beyond the last year
        return None
    return [datetime.fromtimestamp(date.timestamp(), zone_of(schedule)) for date in dates]
