// The Python module progrm_fast._C. Bindings check arguments, release the GIL and call; no algorithm lives here.
#include <pybind11/pybind11.h>

namespace progrm_fast::bindings {
void bind_scan(pybind11::module_& m);
void bind_steps(pybind11::module_& m);
}  // namespace progrm_fast::bindings

PYBIND11_MODULE(_C, m) {
  m.doc() = "Compiled core of progrm_fast.";
  progrm_fast::bindings::bind_scan(m);
  progrm_fast::bindings::bind_steps(m);
}
