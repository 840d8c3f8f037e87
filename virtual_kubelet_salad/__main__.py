"""`python -m virtual_kubelet_salad` is the same as the command `virtual-kubelet-salad`."""

import sys

from virtual_kubelet_salad.cli import main

if __name__ == "__main__":
    sys.exit(main())
