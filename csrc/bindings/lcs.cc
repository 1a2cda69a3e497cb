// Bindings of the LCS core. Arrays are allocated by the caller (progrm_fast/lcs.py); here they are checked once
// more, because a wrong offset would read outside of them.
#include "lcs/lcs.h"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings/module.h"
#include "isa/dispatch.h"

namespace py = pybind11;

namespace progrm_fast {
namespace {

using IntArray = py::array_t<int32_t, py::array::c_style>;
using OffsetArray = py::array_t<int64_t, py::array::c_style>;

[[noreturn]] void refuse(const std::string& argument, const std::string& expected, const std::string& got) {
  throw py::value_error(argument + ": expected " + expected + ", got " + got);
}

void check_offsets(const OffsetArray& offsets, const char* argument, int64_t end, bool must_cover) {
  if (offsets.ndim() != 1 || offsets.size() == 0) {
    refuse(argument, "one dimension and at least one entry", std::to_string(offsets.size()) + " entries");
  }
  const int64_t* o = offsets.data();
  for (py::ssize_t i = 1; i < offsets.size(); ++i) {
    if (o[i] < o[i - 1])
      refuse(argument, "offsets that never decrease", std::to_string(o[i]) + " after " + std::to_string(o[i - 1]));
  }
  const int64_t first = o[0], last = o[offsets.size() - 1];
  if (first < 0 || last > end || (must_cover && (first != 0 || last != end))) {
    refuse(argument, std::string(must_cover ? "offsets from 0 to " : "offsets within 0 to ") + std::to_string(end),
           std::to_string(first) + " to " + std::to_string(last));
  }
}

lcs::Sequences sequences(const IntArray& symbols, const OffsetArray& offsets, const char* argument) {
  if (symbols.ndim() != 1) refuse(argument, "symbols of one dimension", std::to_string(symbols.ndim()));
  check_offsets(offsets, argument, symbols.size(), true);
  return {symbols.data(), offsets.data(), offsets.size() - 1};
}

lcs::Groups groups(const OffsetArray& offsets, const char* argument, int64_t n_sequences) {
  check_offsets(offsets, argument, n_sequences, false);
  return {offsets.data(), offsets.size() - 1};
}

lcs::RunOptions run_options(int workers) {
  if (workers < 1) refuse("workers", "at least 1", std::to_string(workers));
  lcs::RunOptions run;
  run.workers = workers;
  run.interrupted = [] {
    const py::gil_scoped_acquire gil;
    return PyErr_CheckSignals() != 0;
  };
  return run;
}

// Runs `body` without the GIL; a Ctrl-C that came meanwhile is raised where it is held again.
template <typename Body>
void without_gil(Body body) {
  try {
    const py::gil_scoped_release release;
    body();
  } catch (const lcs::Interrupted&) {
    throw py::error_already_set();
  }
}

// Calls body(T* data) with the element type of a writable, contiguous array of `size` unsigned integers.
template <typename Body>
void with_unsigned(py::array& out, int64_t size, Body body) {
  if (!(out.flags() & py::array::c_style) || !out.writeable() || out.size() != size) {
    refuse("out", "a writable C-contiguous array of " + std::to_string(size) + " entries",
           std::to_string(out.size()) + " entries");
  }
  void* data = out.mutable_data();
  if (py::isinstance<py::array_t<uint8_t>>(out)) {
    without_gil([&] { body(static_cast<uint8_t*>(data)); });
  } else if (py::isinstance<py::array_t<uint16_t>>(out)) {
    without_gil([&] { body(static_cast<uint16_t*>(data)); });
  } else if (py::isinstance<py::array_t<uint32_t>>(out)) {
    without_gil([&] { body(static_cast<uint32_t*>(data)); });
  } else {
    refuse("out", "uint8, uint16 or uint32", py::str(out.dtype()));
  }
}

lcs::Relation relation_from_pairs(int32_t n_symbols, const py::array_t<int64_t, py::array::c_style>& pairs) {
  if (pairs.ndim() != 2 || pairs.shape(1) != 2) {
    refuse("match", "pairs of shape (n, 2)", std::to_string(pairs.ndim()) + " dimensions");
  }
  std::vector<std::pair<int32_t, int32_t>> list;
  list.reserve(static_cast<size_t>(pairs.shape(0)));
  const int64_t* p = pairs.data();
  for (py::ssize_t k = 0; k < pairs.shape(0); ++k) {
    const int64_t i = p[2 * k], j = p[2 * k + 1];
    if (i < 0 || j < 0 || i >= n_symbols || j >= n_symbols) {
      refuse("match", "symbols in [0, " + std::to_string(n_symbols) + ")",
             "the pair (" + std::to_string(i) + ", " + std::to_string(j) + ")");
    }
    list.emplace_back(static_cast<int32_t>(i), static_cast<int32_t>(j));
  }
  return lcs::Relation::from_pairs(n_symbols, std::move(list));
}

const lcs::Relation& or_equality(const lcs::Relation* match) {
  static const lcs::Relation equality = lcs::Relation::equality();
  return match ? *match : equality;
}

void cross_lengths(const IntArray& a_symbols, const OffsetArray& a_offsets, const IntArray& b_symbols,
                   const OffsetArray& b_offsets, const lcs::Relation* match, py::array out, int workers) {
  const auto a = sequences(a_symbols, a_offsets, "a"), b = sequences(b_symbols, b_offsets, "b");
  const auto run = run_options(workers);
  with_unsigned(out, a.count * b.count,
                [&](auto* data) { lcs::cross_lengths(a, b, or_equality(match), data, run); });
}

void all_pairs_lengths(const IntArray& symbols, const OffsetArray& offsets, const lcs::Relation* match,
                       py::array out, int workers) {
  const auto a = sequences(symbols, offsets, "a");
  const auto run = run_options(workers);
  with_unsigned(out, a.count * a.count,
                [&](auto* data) { lcs::all_pairs_lengths(a, or_equality(match), data, run); });
}

void group_lengths(const IntArray& symbols, const OffsetArray& offsets, const OffsetArray& group_offsets,
                   const lcs::Relation* match, py::array out, int workers) {
  const auto batch = sequences(symbols, offsets, "batch");
  const auto g = groups(group_offsets, "group_offsets", batch.count);
  const auto run = run_options(workers);
  if (!or_equality(match).is_symmetric()) {
    refuse("match", "a symmetric relation (a condensed result holds only one of L(i, j) and L(j, i))",
           "an asymmetric one");
  }
  int64_t size = 0;
  for (int64_t i = 0; i < g.count; ++i) size += g.size(i) * (g.size(i) - 1) / 2;
  with_unsigned(out, size, [&](auto* data) { lcs::group_lengths(batch, g, or_equality(match), data, run); });
}

template <typename T>
py::array_t<T> as_array(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::tuple neighbors(const IntArray& a_symbols, const OffsetArray& a_offsets, const IntArray& b_symbols,
                    const OffsetArray& b_offsets, bool same, const lcs::Relation* match, uint32_t threshold,
                    int64_t top_k, int workers) {
  const auto a = sequences(a_symbols, a_offsets, "a"), b = sequences(b_symbols, b_offsets, "b");
  const auto run = run_options(workers);
  lcs::Neighbors result;
  without_gil([&] { result = lcs::neighbors(a, b, same, or_equality(match), {threshold, top_k}, run); });
  return py::make_tuple(as_array(result.offsets), as_array(result.columns), as_array(result.lengths));
}

void group_align(const IntArray& a_symbols, const OffsetArray& a_offsets, const IntArray& b_symbols,
                 const OffsetArray& b_offsets, const OffsetArray& a_groups, const OffsetArray& b_groups,
                 const lcs::Relation* match, py::array_t<int32_t, py::array::c_style> out,
                 const OffsetArray& block_offsets, int workers) {
  const auto a = sequences(a_symbols, a_offsets, "a"), b = sequences(b_symbols, b_offsets, "b");
  const auto ga = groups(a_groups, "a_groups", a.count), gb = groups(b_groups, "b_groups", b.count);
  const auto run = run_options(workers);
  if (ga.count != gb.count || block_offsets.size() != ga.count + 1) {
    refuse("b_groups", "as many groups as a_groups (" + std::to_string(ga.count) + ")", std::to_string(gb.count));
  }
  for (int64_t g = 0; g < ga.count; ++g) {
    const int64_t steps = a.offsets[ga.offsets[g + 1]] - a.offsets[ga.offsets[g]];
    if (block_offsets.at(g + 1) - block_offsets.at(g) != steps * gb.size(g)) {
      refuse("block_offsets", "a block of steps x sequences per group",
             "another size in group " + std::to_string(g));
    }
  }
  check_offsets(block_offsets, "block_offsets", out.size(), true);
  int32_t* data = out.mutable_data();
  without_gil([&] { lcs::group_align(a, b, ga, gb, or_equality(match), data, block_offsets.data(), run); });
}

}  // namespace

void bind_lcs(py::module_& m) {
  py::class_<lcs::Relation>(m, "MatchRelation", py::metaclass(reinterpret_cast<PyObject*>(&PyType_Type)),
                            "Which symbols match, as sparse rows; immutable.")
      .def(py::init(&relation_from_pairs), py::arg("n_symbols"), py::arg("pairs").noconvert())
      .def_property_readonly("n_symbols", &lcs::Relation::n_symbols)
      .def_property_readonly("is_symmetric", &lcs::Relation::is_symmetric);
  m.def("lcs_cross_lengths", &cross_lengths, py::arg("a_symbols"), py::arg("a_offsets"), py::arg("b_symbols"),
        py::arg("b_offsets"), py::arg("match"), py::arg("out"), py::arg("workers"));
  m.def("lcs_all_pairs_lengths", &all_pairs_lengths, py::arg("symbols"), py::arg("offsets"), py::arg("match"),
        py::arg("out"), py::arg("workers"));
  m.def("lcs_group_lengths", &group_lengths, py::arg("symbols"), py::arg("offsets"), py::arg("group_offsets"),
        py::arg("match"), py::arg("out"), py::arg("workers"));
  m.def("lcs_neighbors", &neighbors, py::arg("a_symbols"), py::arg("a_offsets"), py::arg("b_symbols"),
        py::arg("b_offsets"), py::arg("same"), py::arg("match"), py::arg("threshold"), py::arg("top_k"),
        py::arg("workers"));
  m.def("lcs_group_align", &group_align, py::arg("a_symbols"), py::arg("a_offsets"), py::arg("b_symbols"),
        py::arg("b_offsets"), py::arg("a_groups"), py::arg("b_groups"), py::arg("match"), py::arg("out"),
        py::arg("block_offsets"), py::arg("workers"));
  m.def("isa_names", [] {
    std::vector<std::string> names;
    for (int i = 0; i < isa::variant_count(); ++i) names.emplace_back(isa::variants()[i].name);
    return names;
  });
  m.def(
      "isa_runs_here",
      [](const std::string& name) {
        for (int i = 0; i < isa::variant_count(); ++i) {
          if (name == isa::variants()[i].name) return isa::variants()[i].runs_here();
        }
        return false;
      },
      py::arg("name"));
  m.def("isa_lane_groups_run", &isa::lane_groups_run, py::arg("name"));
  m.def("isa_active", [] { return std::string(isa::active().name); });
  m.def("isa_force", &isa::force, py::arg("name"));
}

}  // namespace progrm_fast
