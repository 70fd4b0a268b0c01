"""Who trains, who validates and who tests, drawn before the first training with each dataset.

The split is by participant: all sessions of one person, and image and mask of one patient, are on
the same side. Test participants and masks are used for nothing but the final figures.
"""

# Healthy participants, by dataset: the name of the folder of its derivatives (OpenNeuro).
TEST_PARTICIPANTS = {'ds002748': ('06', '31', '59', '68'), 'ds000011': ('05', '12')}
VALIDATION_PARTICIPANTS = {'ds002748': ('46', '61', '72'), 'ds000011': ('09',)}
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
