// A second device for machines that have only a processor: "elsewhere" keeps its numbers in the same memory, computes with
// the processor's kernels, and is as strict as a GPU about what may meet what. See build.py.
#include <ATen/EmptyTensor.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/stack.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace {

using at::Tensor;
constexpr auto HERE = c10::DeviceType::CPU;
constexpr auto THERE = c10::DeviceType::PrivateUse1;

// What a GPU takes from the host: places of rows, and scalars (tensors without dimensions), which every operation takes.
const std::unordered_set<std::string> TAKES_PLACES = {"aten::index", "aten::_index_put_impl_", "aten::index_put_"};

c10::Device device_of(c10::DeviceType type) {
  return type == THERE ? c10::Device(THERE, 0) : c10::Device(HERE);
}

// The same bytes under the name of another device; the storage they came from lives as long.
c10::Storage renamed(const c10::Storage& storage, c10::DeviceType type) {
  auto* holder = new c10::Storage(storage);
  c10::DataPtr data(
      storage.mutable_data(), holder, [](void* kept) { delete static_cast<c10::Storage*>(kept); }, device_of(type));
  return c10::Storage(
      c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(data), c10::GetAllocator(type), /*resizable=*/true);
}

Tensor tensor_on(const Tensor& like, const c10::Storage& storage, c10::DeviceType type) {
  auto key = type == THERE ? c10::DispatchKey::PrivateUse1 : c10::DispatchKey::CPU;
  auto made = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), like.dtype());
  auto* impl = made.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return made;
}

struct Call {
  std::vector<std::pair<Tensor, Tensor>> known;  // there, here
  bool any_here = false, any_there = false;

  Tensor here(const Tensor& x) {
    if (!x.defined()) return x;
    if (x.device().type() != THERE) {
      any_here |= x.dim() > 0 && x.device().type() == HERE;
      return x;
    }
    any_there = true;
    for (auto& [there, mine] : known)
      if (there.is_same(x)) return mine;
    // Two views of one storage stay two views of one storage.
    for (auto& [there, mine] : known)
      if (there.storage().is_alias_of(x.storage())) {
        known.emplace_back(x, tensor_on(x, mine.storage(), HERE));
        return known.back().second;
      }
    known.emplace_back(x, tensor_on(x, renamed(x.storage(), HERE), HERE));
    return known.back().second;
  }

  Tensor there(const Tensor& x) {
    if (!x.defined() || x.device().type() != HERE || !x.has_storage()) return x;
    for (auto& [theirs, mine] : known)
      if (mine.is_same(x)) return theirs;
    for (auto& [theirs, mine] : known)
      if (mine.storage().is_alias_of(x.storage())) return tensor_on(x, theirs.storage(), THERE);
    return tensor_on(x, renamed(x.storage(), THERE), THERE);
  }

  // Results that were resized have new sizes, and perhaps new memory.
  void settle() {
    for (auto& [theirs, mine] : known) {
      auto* impl = theirs.unsafeGetTensorImpl();
      if (mine.storage().data() != theirs.storage().data() || mine.storage().nbytes() != theirs.storage().nbytes())
        impl->set_storage_keep_dtype(renamed(mine.storage(), THERE));
      if (mine.sizes() != theirs.sizes() || mine.strides() != theirs.strides() ||
          mine.storage_offset() != theirs.storage_offset())
        impl->set_sizes_and_strides(mine.sizes(), mine.strides(), mine.storage_offset());
    }
  }
};

template <class F>
c10::IValue mapped(const c10::IValue& value, F&& change) {
  if (value.isTensor()) return change(value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> found;
    for (const Tensor& x : value.toTensorVector()) found.push_back(change(x));
    return found;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> found;
    for (const auto& x : value.toOptionalTensorList()) {
      std::optional<Tensor> t = x;
      found.push_back(t ? std::optional<Tensor>(change(*t)) : std::nullopt);
    }
    return found;
  }
  return value;
}

void elsewhere(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Call call;
  const auto& schema = op.schema();
  const std::string name = schema.name();
  auto arguments = torch::jit::last(*stack, schema.arguments().size());
  bool asked_there = false, host_draws = false;
  const size_t start = stack->size() - arguments.size();
  for (size_t i = 0; i < schema.arguments().size(); ++i) {
    auto& value = (*stack)[start + i];
    if (value.isDevice()) {
      asked_there |= value.toDevice().type() == THERE;
      if (value.toDevice().type() == THERE) value = c10::IValue(c10::Device(HERE));
    } else if (value.isStorage()) {
      if (value.toStorage().device_type() == THERE) value = c10::IValue(renamed(value.toStorage(), HERE));
    } else if (value.isGenerator()) {
      host_draws |= value.toGenerator().defined();
    } else {
      value = mapped(value, [&](const Tensor& x) { return call.here(x); });
    }
  }
  TORCH_CHECK(!(call.any_here && call.any_there) || TAKES_PLACES.count(name),
              name, ": expected all tensors to be on the same device, but found cpu and elsewhere:0");
  TORCH_CHECK(!(host_draws && (call.any_there || asked_there)),
              name, ": expected a generator of elsewhere:0, but found one of cpu");
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.settle();
  const size_t end = stack->size() - schema.returns().size();
  for (size_t i = 0; i < schema.returns().size(); ++i)
    (*stack)[end + i] = mapped((*stack)[end + i], [&](const Tensor& x) { return call.there(x); });
}

Tensor copy_from(const Tensor& source, const Tensor& target, bool) {
  Call call;
  auto to = call.here(target);
  to.copy_(call.here(source));
  return target;
}

Tensor copy_from_and_resize(const Tensor& source, const Tensor& target) {
  Call call;
  auto to = call.here(target);
  to.resize_(source.sizes());
  to.copy_(call.here(source));
  call.settle();
  return target;
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    auto data = c10::GetCPUAllocator()->allocate(size);
    auto free = data.get_deleter();
    auto* place = data.get();
    return {place, data.release_context(), free, device_of(THERE)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return c10::GetCPUAllocator()->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t size) const override { default_copy_data(to, from, size); }
};

Memory memory;
REGISTER_ALLOCATOR(THERE, &memory)

struct Guard final : c10::impl::NoOpDeviceGuardImpl<THERE> {
  c10::Device getDevice() const override { return device_of(THERE); }
  c10::Device exchangeDevice(c10::Device) const override { return device_of(THERE); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device_of(THERE)); }
  c10::Stream exchangeStream(c10::Stream s) const noexcept override { return s; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t size) const override {
    auto data = memory.allocate(size);
    std::memcpy(data.get(), storage.data(), std::min(size, storage.nbytes()));
    storage.set_data_ptr_noswap(std::move(data));
    storage.set_nbytes(size);
  }
};

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&elsewhere>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("_copy_from", &copy_from);
  m.impl("_copy_from_and_resize", &copy_from_and_resize);
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
#undef LOWER
}

extern "C" void elsewhere_begin() { at::RegisterPrivateUse1HooksInterface(new Hooks()); }
