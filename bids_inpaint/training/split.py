"""Who trains, who validates and who tests, drawn before the first training with each dataset.

The split is by participant: all sessions of one person, and image and mask of one patient, are on
the same side. Test participants and masks are used for nothing but the final figures.
"""

from typing import Literal

# Healthy participants, by dataset: the name of the folder of its derivatives (OpenNeuro).
TEST_PARTICIPANTS = {'ds002748': ('06', '31', '59', '68'), 'ds000011': ('05', '12')}
VALIDATION_PARTICIPANTS = {
    'ds002748': ('46', '61', '72', '02', '18', '23', '71'),
    'ds000011': ('09',),
    'other-scanners': ('aomic1', 'aomic2', 'coregqa'),
}
# Of 20 label maps: narrow, middling and wide ventricles (10, 30 and 75 ml).
VALIDATION_LABEL_MAPS = ('seg03', 'seg08', 'seg16')
# Lesion masks: Ljubljana (openms) and MSLesSeg (mslesseg) patients.
TEST_MASKS = (
    'openms26',
    'mslesseg18',
    'openms03',
    'openms08',
    'openms13',
    'openms18',
    'openms23',
    'openms28',
)
VALIDATION_MASKS = ('mslesseg14', 'openms05', 'openms15', 'openms25')
TEST_SEED = 20201004
"""Of the simulated lesions of the test set."""

Side = Literal['training', 'validation', 'test']


def side_of_brain(dataset: str, participant: str) -> Side:
    """On which side of the split a healthy participant is."""
    if participant in TEST_PARTICIPANTS.get(dataset, ()):
        return 'test'
    held_back = VALIDATION_PARTICIPANTS.get(dataset, ())
    return 'validation' if participant in held_back else 'training'


def side_of_label_map(participant: str) -> Side:
    """On which side of the split a person known by a label map is; none of them tests."""
    return 'validation' if participant in VALIDATION_LABEL_MAPS else 'training'


def side_of_mask(participant: str) -> Side:
    """On which side of the split the lesions of a patient are."""
    if participant in TEST_MASKS:
        return 'test'
    return 'validation' if participant in VALIDATION_MASKS else 'training'
