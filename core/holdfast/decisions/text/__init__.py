"""What is told of a text whatever it says: terms, times, language, frames, equality."""
