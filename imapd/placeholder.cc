// to be removed
