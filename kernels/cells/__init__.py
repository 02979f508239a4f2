"""The second door: gated nonlinear recurrences, run token by token, with boundaries and retention like the scan's."""
