"""Pipelines, 5: a web service. A recording goes in as it is, its snippets come back as a ZIP file.

    pip install fastapi uvicorn
    uvicorn --app-dir examples 10_service:app
    curl --data-binary @examples/recordings/call.wav localhost:8000/snippets > snippets.zip

Nothing is kept, and nothing of a recording is logged. Run it behind a proxy that knows who may ask."""

import io
import zipfile

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool

import deident

POLICY = deident.Policy.preset("review")
MOST_BYTES = 100_000_000
app = FastAPI(title="deident", version=deident.__version__)


@app.get("/health")
def health() -> dict[str, str]:
    """Tell that the service is there, and what it does."""
    return {"version": deident.__version__, "policy": POLICY.fingerprint()}


@app.post("/snippets", response_class=Response)
async def snippets(request: Request) -> Response:
    """De-identify the recording in the body."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413, {"code": "too-large", "message": f"expected at most {MOST_BYTES} bytes"})
    try:
        archive, tally = await run_in_threadpool(deidentified, bytes(body))
    except deident.RecordingError as error:  # its words name nothing of the recording
        raise HTTPException(422, {"code": error.code, "message": str(error)}) from None
    dropped = sum(tally.dropped_seconds.values())
    headers = {"X-Released-Seconds": f"{tally.released_seconds:.1f}", "X-Dropped-Seconds": f"{dropped:.1f}"}
    return Response(archive, media_type="application/zip", headers=headers)


def deidentified(recording: bytes) -> tuple[bytes, deident.Tally]:
    """Make a ZIP file of the snippets, in the order of their names, with one time for all."""
    tally, made = deident.Tally(), io.BytesIO()
    found = sorted(deident.deidentify(io.BytesIO(recording), POLICY, tally=tally), key=lambda s: s.name)
    with zipfile.ZipFile(made, "w") as archive:
        for snippet in found:
            archive.writestr(zipfile.ZipInfo(f"{snippet.name}.wav"), snippet.encode("wav"))
    return made.getvalue(), tally
