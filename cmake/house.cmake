# house.cmake — how a room is built: flags, one static library a folder, the same sources once more in double.

add_compile_definitions(_GNU_SOURCE SWITCHYARD_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Werror
                    -march=x86-64-v3 -fno-math-errno -fno-trapping-math -ffp-contract=off)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wno-format-truncation) # text that is cut to its buffer is meant
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g -fno-omit-frame-pointer")

option(SANITIZE "Build with address and undefined-behaviour sanitizers" OFF)
option(TSAN "Build with the thread sanitizer" OFF)
option(FUZZ "Build the fuzz targets of tests/ (clang only), with the address and undefined-behaviour sanitizers" OFF)
if(SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
elseif(TSAN)
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
endif()

# house_library(NAME SOURCES ... LINKS ...): one static library; headers are included from the root.
function(house_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${A_LINKS})
endfunction()

# house_library_f64: the same sources with real = double, for the gradient tests.
function(house_library_f64 name)
  cmake_parse_arguments(A "" "" "SOURCES;LINKS" ${ARGN})
  house_library(${name}_f64 SOURCES ${A_SOURCES} LINKS ${A_LINKS})
  target_compile_definitions(${name}_f64 PUBLIC REAL_IS_DOUBLE)
endfunction()
