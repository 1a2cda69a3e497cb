"""``python -m progrm_fast``: the command line."""

from progrm_fast.cli import main

main(prog_name="progrm-fast")
