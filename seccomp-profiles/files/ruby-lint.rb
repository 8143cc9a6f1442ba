# Shown in jails of the profile `ruby` as /etc/sandboxd/ruby/lint.rb and loaded by every Ruby at its start, by RUBYOPT.
# A lint, no boundary: code that wants past it gets past it. It tells honest code early what this profile isn't for: libraries that
# call C functions by address.
module SandboxdLint
  REFUSED = %w[fiddle fiddle.so ffi ffi_c ffi_c.so].freeze

  private

  def require(name)
    if REFUSED.include?(name.to_s.delete_suffix(".rb"))
      raise LoadError, "require of '#{name}' is refused by the jail's profile 'ruby'; take a library without it, or another profile"
    end
    super
  end
end
Object.prepend(SandboxdLint)
