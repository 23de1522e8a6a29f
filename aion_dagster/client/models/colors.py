"""Colors of pictures."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from aion_dagster.client.models.base import Model, OpenEnum, Rows, UtcDatetime, either, rows
from aion_dagster.client.models.nulls import Count, Text
from aion_dagster.client.models.statuses import WorkStatus


class ColorFamily(OpenEnum):
    """Groups that a search can name."""

    NEUTRAL = "neutral"
    EARTH_TONE = "earth_tone"
    WARM = "warm"
    COOL = "cool"
    METALLIC = "metallic"
    PASTEL = "pastel"
    VIBRANT = "vibrant"


class RGB(Model):
    """Red, green and blue, each 0 to 255."""

    r: int
    g: int
    b: int


class HSL(Model):
    """Hue 0 to 360, saturation and lightness 0 to 100."""

    h: float
    s: float
    l: float  # noqa: E741 - the API's name


class LAB(Model):
    """CIE L*a*b*: lightness 0 to 100, green to red, blue to yellow."""

    l: float  # noqa: E741 - the API's name
    a: float
    b: float


class DominantColor(Model):
    """One of a picture's colors; `percentage` is the part of the picture, 0 to 100."""

    rank: Count = 0
    percentage: float = 0.0
    hex: Text = ""
    name: Text = ""
    family: ColorFamily | None = None
    # Hits of a search come without these.
    rgb: RGB | None = None
    hsl: HSL | None = None
    lab: LAB | None = None


class ColorTemperature(Model):
    """Warm, cool or neutral, and how surely, 0 to 1."""

    value: Text = ""
    score: float | None = None


class ColorAverage(Model):
    """An average of 0 to 100 and the word for it."""

    average: float | None = None
    category: Text = ""


class ColorAnalytics(Model):
    """What the colors of a picture come to."""

    temperature: ColorTemperature | None = None
    brightness: ColorAverage | None = None
    saturation: ColorAverage | None = None


class ColorAnalysis(Model):
    """All colors of a picture, the largest first."""

    version: Text = ""
    dominant_colors: Rows[DominantColor] = rows("dominant_colors")
    analytics: ColorAnalytics | None = None
    extracted_at: UtcDatetime | None = None


class ColorExtractionResult(Model):
    """How far the extraction is, and its colors once it is over."""

    image_id: str
    status: WorkStatus = WorkStatus.PENDING
    color_analysis: ColorAnalysis | None = None
    extracted_at: UtcDatetime | None = None
    """The moment of the analysis, wherever the server says it."""

    @model_validator(mode="before")
    @classmethod
    def _everywhere(cls, data: Any) -> Any:
        """Say `extracted_at` at both places where the server says it at one."""
        analysis = data.get("color_analysis") if isinstance(data, dict) else None
        if not isinstance(analysis, dict):
            return data
        when = data.get("extracted_at") or analysis.get("extracted_at")
        inside = analysis | {"extracted_at": when}
        return data | {"color_analysis": inside if analysis else None, "extracted_at": when}

    @property
    def is_completed(self) -> bool:
        """Whether the colors are there."""
        return self.status.is_success

    @property
    def is_failed(self) -> bool:
        """Whether there will be none."""
        return self.status.is_failure

    @property
    def is_pending(self) -> bool:
        """Whether it is not over."""
        return not self.status.is_over


class ColorSearchResult(Model):
    """A picture that has the color; `match_score` is 1 − ΔE / threshold, 0 to 1, higher is closer."""

    image_id: str
    match_score: float = Field(default=1.0, validation_alias=either("match_score", "score"))
    thumbnail_url: str | None = None
    color_analysis: ColorAnalysis | None = None
    matched_hex: str | None = None
    matched_percentage: float | None = None


class ColorSearchResponse(Model):
    """A page of pictures that have the color."""

    results: Rows[ColorSearchResult] = rows("results", "items")
    total_count: Count = Field(default=0, validation_alias=either("total_count", "total"))
    limit: Count = 0
    offset: Count = 0

    @property
    def has_more(self) -> bool:
        """Whether there are more behind this page."""
        return bool(self.results) and self.offset + len(self.results) < self.total_count


class ColorFamilyInfo(Model):
    """What a family is; `name` is what a search takes."""

    name: str
    display_name: Text = ""
    description: Text = ""
    example_colors: Rows[str] = rows("example_colors")


class BatchColorExtractionResult(Model):
    """How many pictures wait for their colors; ask for each by itself."""

    queued_count: Count = 0
    message: Text = ""
