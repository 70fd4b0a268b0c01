import numpy as np

from bids_inpaint.evaluation.memory import Memory, code_digest, digest


def test_what_was_made_is_not_made_again(tmp_path):
    calls = []

    def make():
        calls.append(1)
        return np.arange(3)

    for _ in range(2):
        np.testing.assert_array_equal(Memory(tmp_path).array('key', make), [0, 1, 2])
    assert len(calls) == 1
    Memory(tmp_path).array('other', make)
    assert len(calls) == 2


def test_hashes_tell_voxels_types_and_shapes_apart():
    volume = np.arange(6, dtype=np.float32)
    hashes = {
        digest(volume),
        digest(volume.reshape(2, 3)),
        digest(volume.astype(np.int32)),
        digest(volume[::-1]),
        digest(volume, 'a'),
        digest('a', volume),
    }
    assert len(hashes) == 6
    assert digest(volume[::-1]) == digest(volume[::-1].copy())


def test_code_has_a_hash_by_area_and_module():
    assert code_digest('network') != code_digest('evaluation/segmenters')
    assert code_digest('network') == code_digest('network')
