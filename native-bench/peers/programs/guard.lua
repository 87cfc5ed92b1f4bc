-- The least that a gateway in Lua does for a guarded route: checks the token (HS256), counts its subject against a rate, tells the origin
-- who is calling. It keeps no verdict: every request is checked anew. It must let nothing through that it has not checked: whatever is not
-- as it should be is 401, and an error of this script is nginx's 500.
-- RFC 6750 (Authorization), RFC 7515 and 7519 (token), RFC 7518 section 3.2 (HS256).
local ffi = require("ffi")
local decode_json = require("cjson.safe").decode
local decode_base64url = require("ngx.base64").decode_base64url

-- nginx has loaded OpenSSL's libcrypto already.
ffi.cdef([[
void *HMAC_CTX_new(void);
int HMAC_Init_ex(void *ctx, const void *key, int len, const void *md, void *engine);
int HMAC_Update(void *ctx, const char *data, size_t len);
int HMAC_Final(void *ctx, unsigned char *md, unsigned int *len);
const void *EVP_sha256(void);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
]])
local C = ffi.C
local DIGEST_BYTES = 32
local digest = ffi.new("unsigned char[32]")
local digest_bytes = ffi.new("unsigned int[1]")

local guard = {}
local settings, limits, hmac

-- Called once, before requests come.
-- settings: secret, issuer, audience, rate (requests a window), window (s), dictionary (of lua_shared_dict)
function guard.open(given)
  settings = given
  limits = assert(ngx.shared[given.dictionary], "no such lua_shared_dict")
  hmac = C.HMAC_CTX_new()
  -- Later calls without a key begin anew with this one: its schedule is computed once.
  assert(hmac ~= nil and C.HMAC_Init_ex(hmac, given.secret, #given.secret, C.EVP_sha256(), nil) == 1, "no HMAC-SHA256")
end

-- Constant in time, whatever the signature is.
local function is_signed(text, signature)
  if signature == nil or #signature ~= DIGEST_BYTES then
    return false
  end
  local made = C.HMAC_Init_ex(hmac, nil, 0, nil, nil) == 1
    and C.HMAC_Update(hmac, text, #text) == 1
    and C.HMAC_Final(hmac, digest, digest_bytes) == 1
  return made and C.CRYPTO_memcmp(digest, signature, DIGEST_BYTES) == 0
end

local function is_for_us(audience)
  if type(audience) ~= "table" then
    return audience == settings.audience
  end
  for i = 1, #audience do
    if audience[i] == settings.audience then
      return true
    end
  end
  return false
end

-- An encoded part of the token that is a JSON object, else nil.
local function object_of(part)
  local text = decode_base64url(part)
  local value = text and decode_json(text)
  return type(value) == "table" and value or nil
end

-- The claims of a token that is good now, else nil.
local function claims_of(authorization)
  -- No patterns: LuaJIT compiles plain searches only.
  if not authorization or authorization:sub(1, 7):lower() ~= "bearer " then
    return nil
  end
  local token = authorization:sub(8)
  local first = token:find(".", 1, true)
  local second = first and token:find(".", first + 1, true)
  if not second then
    return nil
  end
  local header = object_of(token:sub(1, first - 1))
  if not header or header.alg ~= "HS256" or header.crit ~= nil then
    return nil
  end
  if not is_signed(token:sub(1, second - 1), decode_base64url(token:sub(second + 1))) then
    return nil
  end
  local claims = object_of(token:sub(first + 1, second - 1))
  if not claims or claims.iss ~= settings.issuer or not is_for_us(claims.aud) then
    return nil
  end
  local now = ngx.time()
  if type(claims.exp) ~= "number" or claims.exp <= now then
    return nil
  end
  if claims.nbf ~= nil and (type(claims.nbf) ~= "number" or claims.nbf > now) then
    return nil
  end
  return type(claims.sub) == "string" and claims or nil
end

-- Called for each request before it is forwarded. $consumer, which the request to the origin and the log carry, is set here.
function guard.check()
  local claims = claims_of(ngx.var.http_authorization)
  if not claims then
    ngx.header["WWW-Authenticate"] = "Bearer"
    return ngx.exit(401)
  end
  local count = limits:incr(claims.sub, 1, 0, settings.window)
  if not count then
    return ngx.exit(503)
  end
  if count > settings.rate then
    return ngx.exit(429)
  end
  ngx.var.consumer = claims.sub
end

return guard
