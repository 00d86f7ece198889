"""What crishim is held against."""
