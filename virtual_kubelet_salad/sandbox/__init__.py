"""SaladCloud and an API server on loopback: models (state and rules, clock injected) with HTTP faces. Written from
the official API description, never from our own schemas; only `cli` imports it, inside the sandbox subcommand."""
