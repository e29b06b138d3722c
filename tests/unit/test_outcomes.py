"""Outcomes as they are read back, also those of the release before."""

from __future__ import annotations

from packsight.shared.contract.errors import ErrorCode
from packsight.shared.contract.outcomes import Described, DescribeResult, Failure, Outcome, RecognizeResult, Status
from packsight.worker.queue.request import BatchTask


def test_a_stage_that_was_renamed_is_read_under_its_new_name() -> None:
    old = '{"image": "a.jpg", "status": "no_match", "timings": {"fetch": 0.1, "recall": 0.02, "match": 0.003}}'
    assert Outcome.model_validate_json(old).timings == {"fetch": 0.1, "cache": 0.02, "match": 0.003}


def test_a_result_says_how_many_photos_failed_with_which_codes_and_no_reference() -> None:
    def failed(code: ErrorCode) -> Outcome:
        return Outcome.failed("s3://b/secret?X-Signature=5ec2e7", Failure.of_code(code, "https://u:p@h/x"))

    good = Outcome(image="a.jpg", status=Status.MATCHED)
    assert repr(RecognizeResult(outcomes=[good])) == "1 photo"
    some = [good, failed(ErrorCode.OBJECT_MISSING), failed(ErrorCode.FILE_EMPTY), failed(ErrorCode.OBJECT_MISSING)]
    assert repr(RecognizeResult(outcomes=some)) == "failed: 3 of 4 photos (2 object_missing, 1 file_empty)"
    assert repr(DescribeResult(models={}, photos=[Described(image="a", sha256="1")] * 2)) == "2 photos"
    everything = repr(RecognizeResult(outcomes=[failed(code) for code in ErrorCode]))
    assert everything.endswith(", …)") and len(everything) < BatchTask.resultrepr_maxsize
