"""What the array script makes of a list of participants and of a job's limits; needs no SLURM."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'hpc/bids_inpaint.sbatch'


def run_task(
    folder: Path, number: int, rows: str | None = None, **environ: str
) -> 'subprocess.CompletedProcess[str]':
    """Run the script as a task of an array, with `echo` in place of the program."""
    (folder / 'data').mkdir()
    if rows is not None:
        (folder / 'data/participants.tsv').write_bytes(rows.encode())
    usual = {
        'PATH': '/usr/local/bin:/usr/bin:/bin',
        'DATA': f'{folder}/data',
        'OUT': f'{folder}/out',
        'RUN': 'echo ran',
        'SCRATCH': str(folder),
        'SLURM_ARRAY_TASK_ID': str(number),
        'SLURM_JOB_ID': '7',
        'SLURM_CPUS_PER_TASK': '2',
    }
    return subprocess.run(
        ['/bin/bash', str(SCRIPT)],
        env={**usual, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    'rows',
    [
        'participant_id\nsub-01\nsub-02\n',
        'participant_id\tage\nsub-01\t30\nsub-02\t40\n',
        'participant_id\nsub-01\nsub-02',  # no end of the last line
        'participant_id\r\nsub-01\r\nsub-02\r\n',
        '\ufeffparticipant_id\nsub-01\n\nsub-02\n\n',
    ],
)
def test_the_second_participant_of_any_list(tmp_path, rows):
    ran = run_task(tmp_path, 2, rows)
    assert ran.returncode == 0, ran.stderr
    assert '--participant-label sub-02 --skip-existing' in ran.stdout


def test_a_list_of_ones_own_and_participants_before(tmp_path):
    (tmp_path / 'mine.tsv').write_text('participant_id\nsub-07\nsub-08\n')
    ran = run_task(tmp_path, 1, PARTICIPANTS=f'{tmp_path}/mine.tsv', AFTER='1')
    assert '--participant-label sub-08 ' in ran.stdout


@pytest.mark.parametrize(
    ('rows', 'told'),
    [
        (None, 'cannot read {}: it must have a participant in each line after the first'),
        ('participant_id\nsub-01\n', '{} has no participant number 2'),
    ],
)
def test_a_list_that_does_not_have_the_participant(tmp_path, rows, told):
    ran = run_task(tmp_path, 2, rows)
    assert ran.returncode == 2
    assert told.format(tmp_path / 'data/participants.tsv') in ran.stderr
    assert 'ran' not in ran.stdout


@pytest.mark.parametrize(
    ('limits', 'options'),
    [
        ({'SLURM_MEM_PER_NODE': '6144'}, '--nprocs 2 --omp-nthreads 2 --mem 6.44245\n'),
        ({'SLURM_MEM_PER_CPU': '3000'}, '--nprocs 2 --omp-nthreads 2 --mem 6.29146\n'),
        ({'SLURM_MEM_PER_NODE': '0'}, '--nprocs 2 --omp-nthreads 2\n'),
        ({}, '--nprocs 2 --omp-nthreads 2\n'),
    ],
)
def test_threads_and_memory_of_the_job(tmp_path, limits, options):
    ran = run_task(tmp_path, 1, 'participant_id\nsub-01\n', **limits)
    assert options in ran.stdout


def test_nothing_is_run_without_a_folder_for_working_files(tmp_path):
    ran = run_task(tmp_path, 1, 'participant_id\nsub-01\n', SCRATCH=f'{tmp_path}/missing')
    assert ran.returncode == 2
    assert f'{tmp_path}/missing' in ran.stderr
    assert 'ran' not in ran.stdout
