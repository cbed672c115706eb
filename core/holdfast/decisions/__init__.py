"""What follows: pure functions, without I/O, drivers or clocks."""
