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
def token_kl(
    logp: _View,
    ref_logp: _View,
    mask: _View | None,
    n: int,
    estimator: int,
    clip: float,
    out: int,
    max_threads: int,
) -> None: ...
def progress_rewards(
    progress: int, scored: int, rows: _Rows, initial: int, initial_value: float, rewards: int
) -> None: ...
def steps_to_tokens(
    values: int, n_steps: int, ids: int, wide: bool, n_tokens: int, out: int, max_threads: int
) -> bool: ...
def tokens_to_steps(
    values: _View, ids: int, wide: bool, n_tokens: int, sum: bool, n_steps: int, out: int
) -> bool: ...
def group_advantages(
    scores: int,
    group_ids: int,
    n: int,
    mode: int,
    eps: float,
    correction: float,
    keep_singletons: bool,
    zero_constants: bool,
    out: int,
) -> None: ...
def simd_level() -> str: ...
def simd_levels() -> list[str]: ...
