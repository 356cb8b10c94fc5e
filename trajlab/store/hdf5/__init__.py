"""HDF5: what is written for everybody, and read where no index says where the numbers lie."""
