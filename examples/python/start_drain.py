"""Starts a drain, or attaches to the running one, and waits for its receipt: plain JSON in and out, no Tidemark in Python.

    pip install -r requirements.txt
    python start_drain.py PIPELINE ['{"offsets": {"topic": {"0": 1000}}}']

TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE name the server. Progress goes to stderr, the receipt to stdout. Exit codes: 0 where the ends
asked for were reached, 1 where not, or what a failure says of itself.
"""

import asyncio
import json
import os
import sys

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateStage,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError


async def start_or_attach(client: Client, pipeline: str, until) -> tuple[WorkflowHandle, dict]:
    """Returns the run that has accepted `until` as part of its goal, and where it ends now: at or beyond that."""
    start = WithStartWorkflowOperation(
        "drain",
        {"pipeline": pipeline, "until": until},
        id=f"drain-{pipeline}",
        task_queue="tidemark",
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    update = await client.start_update_with_start_workflow(
        "retarget",
        {"until": until, "raiseOnly": True},
        wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        start_workflow_operation=start,
    )
    # By its run id: another run of the same workflow id may follow, and has not promised this.
    handle = client.get_workflow_handle(update.workflow_id, run_id=update.workflow_run_id)
    try:
        accepted = (await update.result())["endingOffsets"]
    except WorkflowUpdateFailedError:
        if (await handle.describe()).status != WorkflowExecutionStatus.RUNNING:
            await handle.result()  # raises what the run failed of
        raise
    print(f"accepted: {json.dumps(accepted)}", file=sys.stderr)
    return handle, accepted


async def receipt_of(handle: WorkflowHandle) -> dict:
    waiting = asyncio.ensure_future(handle.result())
    while not waiting.done():
        progress = await handle.query("progress")
        print(
            f"{progress['phase']}: {progress['offsetsDrained']} of {progress.get('offsetsToDrain', '?')}",
            file=sys.stderr,
        )
        await asyncio.wait([waiting], timeout=1)
    return await waiting


def ends_not_reached(until, accepted: dict, receipt: dict) -> list[str]:
    """Of this caller's own ends: the run may have been asked for more by others, and `outcome` is about all of it."""
    asked = until["offsets"] if isinstance(until, dict) and "offsets" in until else accepted
    reached = {(p["topic"], str(p["kafkaPartition"])): int(p["endingOffset"]) for p in receipt["partitions"]}
    short = []
    for topic, partitions in asked.items():
        for partition, offset in partitions.items():
            end = int(offset) if int(offset) >= 0 else int(accepted[topic][partition])
            if reached.get((topic, partition), -1) < end:
                short.append(f"{topic}-{partition} at {reached.get((topic, partition))} of {end}")
    return short


def application_error(error: BaseException | None) -> ApplicationError | None:
    """What Tidemark itself reported, however deep Temporal has wrapped it."""
    while error is not None and not isinstance(error, ApplicationError):
        error = getattr(error, "cause", None)
    return error


async def main() -> int:
    pipeline = sys.argv[1]
    until = json.loads(sys.argv[2]) if len(sys.argv) > 2 else "latest"
    client = await Client.connect(
        os.environ.get("TEMPORAL_ADDRESS", "localhost:7233"),
        namespace=os.environ.get("TEMPORAL_NAMESPACE", "default"),
    )
    try:
        handle, accepted = await start_or_attach(client, pipeline, until)
        receipt = await receipt_of(handle)
    except (WorkflowFailureError, WorkflowUpdateFailedError) as error:
        failure = application_error(error)
        if failure is None:
            raise
        print(f"{failure.type}: {failure.message}", file=sys.stderr)
        return failure.details[0]["exitCode"] if failure.details else 1
    print(json.dumps(receipt))
    short = ends_not_reached(until, accepted, receipt)
    if short:
        print(f"not reached: {', '.join(short)}", file=sys.stderr)
    return 1 if short else 0


def end(exit_code: int) -> None:
    """Without the interpreter's own end: a thread of Temporal's SDK that still runs then may abort it (temporalio/sdk-python#300)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    end(asyncio.run(main()))
