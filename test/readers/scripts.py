"""usage: scripts.py

Runs the scripts beside it, one after the other, in one process with one Spark, whose start costs more than most of them do. A request is
a line of its input, {"script": NAME, "args": [...], "env": {...}}; its answer is a line of its output, {"output": TEXT} or
{"failure": TEXT}. Ends with its input.
"""

import contextlib
import importlib
import io
import json
import os
import sys
import traceback


def answer(request):
    sys.argv = [request["script"], *request["args"]]
    os.environ.update(request["env"])
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            importlib.import_module(request["script"].removesuffix(".py")).main()
    except BaseException:
        return {"failure": traceback.format_exc()}
    return {"output": output.getvalue()}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What Spark's own process prints is no answer.
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


main()
