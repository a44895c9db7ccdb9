"""Which electrodes, at which times, carry what: maps of the linear map, with their null distributions."""
