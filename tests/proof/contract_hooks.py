"""What schemathesis cannot know by itself: bytes for the media type of remote workers."""

import schemathesis


@schemathesis.serializer("application/vnd.bifurcated.result")
def serialize_result(ctx, value):  # type: ignore[no-untyped-def]
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
