"""What can be told of any text: terms, times, language, frames, equality."""
