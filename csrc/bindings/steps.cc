// Bindings of step and group operations. Addresses come from adjacent tensors that the caller keeps alive.
#include "scan/steps.h"

#include "bindings/views.h"

namespace py = pybind11;

namespace progrm_fast::bindings {
namespace {

void progress_rewards_binding(std::uintptr_t progress, std::uintptr_t scored, const RowsTuple& rows,
                              std::uintptr_t initial, float initial_value, std::uintptr_t rewards) {
  scan::progress_rewards(pointer<const float>(progress), pointer<const std::uint8_t>(scored),
                         to_rows(rows, "cu_steps"), pointer<const float>(initial), initial_value,
                         pointer<float>(rewards));
}

bool steps_to_tokens_binding(std::uintptr_t values, std::int64_t n_steps, std::uintptr_t ids, bool wide,
                             std::int64_t n_tokens, std::uintptr_t out, int max_threads) {
  const py::gil_scoped_release release;
  return scan::steps_to_tokens(pointer<const float>(values), n_steps, {pointer<const void>(ids), wide, n_tokens},
                               pointer<float>(out), max_threads);
}

bool tokens_to_steps_binding(const ViewTuple& values, std::uintptr_t ids, bool wide, std::int64_t n_tokens,
                             bool sum, std::int64_t n_steps, std::uintptr_t out) {
  const py::gil_scoped_release release;
  return scan::tokens_to_steps(to_view(values), {pointer<const void>(ids), wide, n_tokens}, sum, n_steps,
                               pointer<float>(out));
}

void group_advantages_binding(std::uintptr_t scores, std::uintptr_t group_ids, std::int64_t n, int mode, double eps,
                              double correction, bool keep_singletons, bool zero_constants, std::uintptr_t out) {
  const scan::GroupOptions options{static_cast<scan::GroupMode>(mode), eps, correction, keep_singletons,
                                   zero_constants};
  const py::gil_scoped_release release;
  scan::group_advantages(pointer<const float>(scores), pointer<const std::int64_t>(group_ids), n, options,
                         pointer<float>(out));
}

}  // namespace

void bind_steps(py::module_& m) {
  m.def("progress_rewards", &progress_rewards_binding, py::arg("progress"), py::arg("scored"), py::arg("rows"),
        py::arg("initial"), py::arg("initial_value"), py::arg("rewards"), "Progress differences of packed steps.");
  m.def("steps_to_tokens", &steps_to_tokens_binding, py::arg("values"), py::arg("n_steps"), py::arg("ids"),
        py::arg("wide"), py::arg("n_tokens"), py::arg("out"), py::arg("max_threads"),
        "Value of each token's step; False if an id is out of range.");
  m.def("tokens_to_steps", &tokens_to_steps_binding, py::arg("values"), py::arg("ids"), py::arg("wide"),
        py::arg("n_tokens"), py::arg("sum"), py::arg("n_steps"), py::arg("out"),
        "Sum or last of each step's tokens; False if an id is out of range.");
  m.def("group_advantages", &group_advantages_binding, py::arg("scores"), py::arg("group_ids"), py::arg("n"),
        py::arg("mode"), py::arg("eps"), py::arg("correction"), py::arg("keep_singletons"),
        py::arg("zero_constants"), py::arg("out"), "Scores compared within their groups.");
}

}  // namespace progrm_fast::bindings
