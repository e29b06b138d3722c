"""Image bytes in, product matches out."""

import sys

# Importing openvino would report that to its makers: a network call, a thread and a file in the home folder, in every
# process. Where this package cannot be imported, openvino does without.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
