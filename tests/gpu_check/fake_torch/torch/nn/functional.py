from .. import same_numbers

relu = same_numbers  # right: the numbers are not negative
silu = same_numbers  # wrong: must be found out
