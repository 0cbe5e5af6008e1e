"""What is done with events: the threads that call the handlers, and what each event leads to."""
