"""The subcommands of `doh3d`, a module each: they parse, call and print; nothing else."""
