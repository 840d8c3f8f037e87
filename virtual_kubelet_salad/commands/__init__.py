"""The subcommands beside the daemon: `render`, `gpu-classes`, `cleanup` and `check`; each has `main(argv)`, which
returns the exit code."""
