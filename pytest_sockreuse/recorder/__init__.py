"""The recorder: watches an application's sockets and predicts what its calls would do on other platforms."""
