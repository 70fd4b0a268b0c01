"""One T1w image of a dataset, and the entities of its name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Short and long name of each entity, in the order of file names: BIDS 1.11, rules.entities.
ENTITIES: Mapping[str, str] = {
    'sub': 'subject',
    'tpl': 'template',
    'ses': 'session',
    'cohort': 'cohort',
    'sample': 'sample',
    'task': 'task',
    'tracksys': 'tracksys',
    'acq': 'acquisition',
    'nuc': 'nucleus',
    'voi': 'volume',
    'ce': 'ceagent',
    'trc': 'tracer',
    'stain': 'stain',
    'rec': 'reconstruction',
    'dir': 'direction',
    'run': 'run',
    'mod': 'modality',
    'echo': 'echo',
    'flip': 'flip',
    'inv': 'inversion',
    'mt': 'mtransfer',
    'part': 'part',
    'proc': 'processing',
    'hemi': 'hemisphere',
    'space': 'space',
    'split': 'split',
    'recording': 'recording',
    'chunk': 'chunk',
    'atlas': 'atlas',
    'seg': 'segmentation',
    'scale': 'scale',
    'res': 'resolution',
    'den': 'density',
    'label': 'label',
    'desc': 'description',
}

_PAIR = re.compile(r'([a-zA-Z]+)-([a-zA-Z0-9+]+)')


@dataclass(frozen=True)
class Scan:
    """One T1w image.

    Attributes
    ----------
    t1w : Path
        The image, .nii or .nii.gz; `<dataset>/sub-XX/[ses-YY/]anat/<name>`, absolute.
    entities : tuple of (str, str)
        Short name and value of every entity of the file name, in its order, as written there:
        `(('sub', '01'), ('run', '02'))`.
    lesion_mask : Path or None
        Mask of its lesions, to fill these and nothing else; None to find them blindly.

    """

    t1w: Path
    entities: tuple[tuple[str, str], ...]
    lesion_mask: Path | None = None

    @property
    def subject(self) -> str:
        """Participant label, without 'sub-'."""
        return dict(self.entities)['sub']

    @property
    def session(self) -> str | None:
        """Session label, without 'ses-'; None if the name has none."""
        return dict(self.entities).get('ses')

    @property
    def folder(self) -> PurePosixPath:
        """Folder within the dataset: 'sub-XX/anat' or 'sub-XX/ses-YY/anat'."""
        return _folder(self.entities)

    @property
    def name(self) -> str:
        """Name without suffix and extension: 'sub-01_ses-2_run-01'."""
        return '_'.join(f'{key}-{value}' for key, value in self.entities)

    @property
    def node_name(self) -> str:
        """The same, as a name of a nipype workflow: 'sub_01_ses_2_run_01'."""
        return self.name.replace('-', '_').replace('+', 'plus')

    @property
    def relative_path(self) -> PurePosixPath:
        """Path of the image within its dataset."""
        return self.folder / self.t1w.name


def parse_t1w(t1w: Path) -> Scan:
    """Read the entities of a T1w image's name.

    Parameters
    ----------
    t1w : Path
        `<dataset>/sub-XX/[ses-YY/]anat/sub-XX[_ses-YY][_<key>-<value>...]_T1w.nii[.gz]`

    Returns
    -------
    scan : Scan

    Raises
    ------
    ValueError
        If the name is not one of BIDS, or does not belong in its folder.

    Examples
    --------
    >>> parse_t1w(Path('/data/sub-01/anat/sub-01_acq-mprage_T1w.nii.gz')).entities
    (('sub', '01'), ('acq', 'mprage'))

    """
    stem = re.fullmatch(r'(.+)_T1w\.nii(?:\.gz)?', t1w.name)
    parts = stem[1].split('_') if stem else []
    pairs = [_PAIR.fullmatch(part) for part in parts]
    entities = tuple((pair[1], pair[2]) for pair in pairs if pair)
    keys = [key for key, _ in entities]
    if not stem or len(entities) < len(parts) or len(set(keys)) < len(keys) or keys[0] != 'sub':
        msg = (
            f'the name of a T1w image must be sub-<label>[_<key>-<value>...]_T1w.nii[.gz] '
            f'with each key once, is {t1w.name}'
        )
        raise ValueError(msg)
    folder = _folder(entities)
    if t1w.parts[-len(folder.parts) - 1 : -1] != folder.parts:
        msg = f'{t1w.name} must lie in {folder}, lies in {t1w.parent}'
        raise ValueError(msg)
    return Scan(t1w, entities)


def _folder(entities: tuple[tuple[str, str], ...]) -> PurePosixPath:
    """Folder, within a dataset, of an anatomical image with these entities."""
    levels = [f'{key}-{value}' for key, value in entities if key in {'sub', 'ses'}]
    return PurePosixPath(*levels, 'anat')
