"""chatkit."""
