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
        Lesion mask to fill; None to fill blindly.

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
    def extension(self) -> str:
        """Extension of the image: '.nii' or '.nii.gz'."""
        return self.t1w.name.removeprefix(f'{self.name}_T1w')

    @property
    def workflow_name(self) -> str:
        """Name of its nipype workflow: 'sub_01_ses_2_run_01_wf'."""
        return self.name.replace('-', '_').replace('+', 'plus') + '_wf'

    @property
    def relative_path(self) -> PurePosixPath:
        """Path of the image within its dataset."""
        return self.folder / self.t1w.name


def parse_t1w(t1w: Path) -> Scan:
    """Parse the name of a T1w image.

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
        If the name does not follow BIDS, or does not fit its folder.

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
            f'with each key once, not {t1w.name}'
        )
        raise ValueError(msg)
    folder = _folder(entities)
    if t1w.parts[-len(folder.parts) - 1 : -1] != folder.parts:
        msg = f'{t1w.name} must be in {folder}, is in {t1w.parent}'
        raise ValueError(msg)
    return Scan(t1w, entities)


def unusual_entities(scan: Scan, *, raw: bool) -> list[str]:
    """Entities, by their short names, for which a run leaves out an image by default.

    Contrast agents, other parts of complex data than the magnitude, inversions, and `desc` in a
    raw dataset, where it marks a copy of an image.
    """
    found = dict(scan.entities)
    keys: list[str] = [key for key in ('ce', 'inv') if key in found]
    if found.get('part', 'mag') != 'mag':
        keys.append('part')
    if raw and 'desc' in found:
        keys.append('desc')
    return keys


def parse_usual(t1w: Path, *, raw: bool = True) -> Scan | None:
    """Parse the name of a T1w image; None if a run does not process it by default.

    These are images whose names do not follow BIDS, and those of `unusual_entities`.
    """
    scan = parse_any(t1w)
    return None if scan and unusual_entities(scan, raw=raw) else scan


def parse_any(t1w: Path) -> Scan | None:
    """Parse the name of a T1w image; None if it does not follow BIDS."""
    try:
        return parse_t1w(t1w)
    except ValueError:
        return None


def _folder(entities: tuple[tuple[str, str], ...]) -> PurePosixPath:
    """Folder, within a dataset, of an anatomical image with these entities."""
    levels = [f'{key}-{value}' for key, value in entities if key in {'sub', 'ses'}]
    return PurePosixPath(*levels, 'anat')
