"""The recorder: watches an application's sockets and tells what its calls would do on other platforms."""
