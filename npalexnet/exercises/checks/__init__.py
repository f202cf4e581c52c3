"""What each exercise is held against: a module has `CHECKS`, for each of its exercises the checks of its functions."""
