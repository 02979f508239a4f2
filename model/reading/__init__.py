"""From a checked experiment to a recording: the loop through time, telemetry, the runner."""
