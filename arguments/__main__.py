"""`python -m arguments` prints the table of all flags that is kept in docs/flags.md."""

import sys

from arguments.flag_table import flags_markdown

sys.stdout.write(flags_markdown())
