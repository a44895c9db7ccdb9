"""The linear map: whitening, ridge, folding into one matrix."""
