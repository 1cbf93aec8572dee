"""What schemathesis cannot know by itself: bytes for the media type of remote workers, and which of its cases it calls by the wrong name."""

import schemathesis
from schemathesis.generation import GenerationMode


@schemathesis.serializer("application/vnd.bifurcated.result")
def serialize_result(ctx, value):  # type: ignore[no-untyped-def]
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@schemathesis.hook
def filter_case(ctx, case):  # type: ignore[no-untyped-def]
    """No right request has a wrong part. Of a header's pattern whose letters schemathesis does not use (the quotes of an ETag) it makes
    wrong values alone, and sends one (`If-Match: 0`) with the request that is to be right (4.32)."""
    made = case.meta.generation.mode if case.meta else None
    return made != GenerationMode.POSITIVE or all(part.mode == made for part in case.meta.components.values())
