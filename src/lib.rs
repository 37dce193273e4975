//! automdev creates VFIO mediated devices (mdevs) right before a virtual machine starts and removes them
//! when it has stopped.
