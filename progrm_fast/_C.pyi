_View = tuple[int, int, int]
_Output = tuple[int, int]
_Rows = tuple[int, int, int]

def scan(
    rewards: _View,
    values: _View | None,
    mask: _View | None,
    dones: _View | None,
    last_values: int,
    gamma: float,
    lam: float,
    rows: _Rows,
    advantages: _Output | None,
    returns: _Output,
    moments: int,
    max_threads: int,
) -> None: ...
def masked_moments(x: _View, mask: _View | None, rows: _Rows, moments: int, max_threads: int) -> None: ...
def normalize(
    x: _View,
    mask: _View | None,
    rows: _Rows,
    moments: int,
    n_moments: int,
    shift_mean: bool,
    eps: float,
    correction: float,
    out: _Output,
    max_threads: int,
) -> None: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
