"""Found controls held against something trusted."""
